compile steps -o nothing
