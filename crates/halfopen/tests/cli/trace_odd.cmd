halfopen trace dead --data $DATA
