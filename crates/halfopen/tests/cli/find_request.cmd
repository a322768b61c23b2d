halfopen find req_0130 --data $DATA
