halfopen why --from 14:10 --to 14:05 --data $DATA
