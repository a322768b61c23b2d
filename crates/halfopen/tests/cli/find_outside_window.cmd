halfopen find req_0130 --from 14:10 --to 14:12 --data $DATA
