import to_import/E631 -o imported
