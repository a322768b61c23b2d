halfopen find beef --data $DATA
