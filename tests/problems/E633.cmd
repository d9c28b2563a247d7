import to_import/E633 -o imported
