halfopen find req_0130_1 --data $DATA
