halfopen find re --data $DATA
