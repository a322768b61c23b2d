halfopen trace 12345678 --data $DATA
