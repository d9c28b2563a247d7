import to_import/E637 -o imported/E637
import to_import/E637 -o imported/E637 --force
