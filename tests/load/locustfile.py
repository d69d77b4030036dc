"""The load mix of the classification service, for Locust.

    locust -f tests/load/locustfile.py --host=http://localhost:8000
    locust -f tests/load/locustfile.py --host=http://localhost:8000 --headless --users=10 --spawn-rate=2 --run-time=60s

PredictUser is the everyday mix: single texts three times as often as batches of 5, batches of 25 twice, batches of 50 and /health
once, half a second to two seconds between requests. StressUser sends batches of 20 with hardly a pause; it runs only when named
(`StressUser` at the end of the command line).
"""
import random
import sys

from locust import HttpUser, between, task

TEXTS = [
    "This product is amazing! I love it.",
    "Terrible experience, would not recommend.",
    "It's okay, nothing special.",
    "The service was excellent and the staff were friendly.",
    "I am very disappointed with the quality.",
    "The delivery was on time.",
    "Best purchase I have made this year!",
    "The item broke after two days.",
    "The package contains four screws and a manual.",
    "Absolutely fantastic, exceeded my expectations.",
]


def texts(count):
    return random.choices(TEXTS, k=count)


class Classifier(HttpUser):
    abstract = True

    def predict_batch(self, count):
        with self.client.post("/predict_batch", json={"texts": texts(count)}, name=f"/predict_batch ({count})",
                              catch_response=True) as response:
            if response.status_code == 200 and len(response.json()["predictions"]) != count:
                response.failure(f"want {count} predictions")


class PredictUser(Classifier):
    wait_time = between(0.5, 2)

    @task(3)
    def predict(self):
        with self.client.post("/predict", json={"text": random.choice(TEXTS)}, catch_response=True) as response:
            if response.status_code == 200 and not 0 <= response.json()["confidence"] <= 1:
                response.failure("want a confidence from 0 to 1")

    @task(1)
    def small_batch(self):
        self.predict_batch(5)

    @task(2)
    def medium_batch(self):
        self.predict_batch(25)

    @task(1)
    def large_batch(self):
        self.predict_batch(50)

    @task(1)
    def health(self):
        self.client.get("/health")


class StressUser(Classifier):
    weight = int("StressUser" in sys.argv)
    wait_time = between(0.1, 0.5)

    @task
    def batch(self):
        self.predict_batch(20)
