halfopen why --from 14:00 --to 14:02 --data $DATA
