halfopen why --from 11:00 --to 11:10 --data $DATA
