halfopen trace c0de --data $DATA
