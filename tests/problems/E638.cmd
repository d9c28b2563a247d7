import to_import/E638 -o imported/E638
import to_import/E638 -o imported/E638
