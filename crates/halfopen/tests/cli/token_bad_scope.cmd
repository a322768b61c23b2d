halfopen token new ci --scope everything
