env lock conda/nowhere.yaml
