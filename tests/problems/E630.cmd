import to_import/E630 -o imported
