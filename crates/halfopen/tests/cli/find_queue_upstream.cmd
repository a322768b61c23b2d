halfopen find ccfe --data $DATA
