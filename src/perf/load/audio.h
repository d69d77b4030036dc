// Load for OpenAI-style POST /v1/audio/transcriptions and /translations: uploads as multipart
// forms.
//
// One request is built ahead for each recording; they are used in turn. audio_judge.h tells what a
// right answer is. A judgement's amount is the recording's seconds, so that the rate of amounts is
// the real-time factor: seconds of audio per second.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/audio_file.h"
#include "perf/load/audio_judge.h"
#include "perf/load/workload.h"

namespace sis::perf {

struct AudioOptions {
  net::Url url;
  std::string path = "/v1/audio/transcriptions";
  std::string model;
  std::string api_key;
  const std::vector<AudioFile>* files = nullptr;  // at least one; read by create() only
  AudioFormat format = AudioFormat::kJson;
  std::string language, prompt;            // empty: not sent
  std::string temperature;                 // as typed; empty: not sent
  std::vector<std::string> granularities;  // "word", "segment"
  bool keep_alive = true;
};

class AudioWorkload final : public Workload {
 public:
  static Result<std::unique_ptr<AudioWorkload>> create(const AudioOptions& options);

  std::string_view request(uint64_t index, std::string&) const override {
    return pool_[index % pool_.size()];
  }
  std::unique_ptr<Judge> make_judge() const override;

 private:
  std::vector<std::string> pool_;
  std::vector<double> seconds_;  // of each recording; below 0: unknown
  AudioFormat format_ = AudioFormat::kJson;
};

}  // namespace sis::perf
