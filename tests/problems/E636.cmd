import to_import/E636 -o imported/E636
import to_import/E636 -o imported/E636 --force
