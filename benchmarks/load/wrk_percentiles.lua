-- wrk's own summary ends at the 99th percentile and rounds; this prints more of the same figures.
function done(summary, latency, requests)
  for name, q in pairs({ p50_ms = 50, p99_ms = 99, p99_9_ms = 99.9 }) do
    print(string.format("%s %.4f", name, latency:percentile(q) / 1000))
  end
  print(string.format("max_ms %.4f", latency.max / 1000))
end
