halfopen find req_013 --data $DATA
