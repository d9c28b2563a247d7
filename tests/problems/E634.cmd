import to_import/E634 -o imported
