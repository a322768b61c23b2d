halfopen import nowhere.json --data $DATA
