halfopen why --since yesterday --data $DATA
