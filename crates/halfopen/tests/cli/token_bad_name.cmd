halfopen token new 'c i' --scope read
