deploy status --endpoint readability --region eu-wset-1
