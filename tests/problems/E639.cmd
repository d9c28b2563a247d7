import to_import/E639 -o imported/E639
import to_import/E639 -o imported/E639 --force
