env lock conda/contradictory.yaml
