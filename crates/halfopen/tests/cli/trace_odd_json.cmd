halfopen trace dead --json --data $DATA
