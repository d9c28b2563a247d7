import to_import/E632 -o imported
