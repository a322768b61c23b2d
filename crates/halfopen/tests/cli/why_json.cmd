halfopen why --json --data $DATA
