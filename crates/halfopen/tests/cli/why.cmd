halfopen why --data $DATA
