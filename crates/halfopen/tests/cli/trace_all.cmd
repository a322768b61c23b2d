halfopen trace beef --all --spans-max 8 --data $DATA
