halfopen find order-7701 --data $DATA
