bench models/taken --pipeline p
