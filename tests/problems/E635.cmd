import to_import/E635 -o imported
