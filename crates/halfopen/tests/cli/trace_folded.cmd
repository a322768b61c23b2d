halfopen trace beef --data $DATA
