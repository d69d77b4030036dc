# matrix products
