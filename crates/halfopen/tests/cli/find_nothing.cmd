halfopen find unheard-of --data $DATA
