#include "perf/load/audio.h"

#include "base/check.h"
#include "base/strings.h"
#include "net/http_client.h"

namespace sis::perf {
namespace {

// Names go into a header's quoted string: what would end it is escaped as browsers do (HTML form
// submission, multipart/form-data encoding algorithm).
std::string form_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '"')
      out += "%22";
    else if (c == '\r')
      out += "%0D";
    else if (c == '\n')
      out += "%0A";
    else
      out += c;
  }
  return out;
}

class Form {
 public:
  // The boundary must not be in any content.
  explicit Form(std::string boundary) : boundary_(std::move(boundary)) {}
  void field(std::string_view name, std::string_view value) {
    begin(name);
    body_ += concat("\r\n\r\n", value, "\r\n");
  }
  void file(std::string_view name, const AudioFile& file) {
    begin(name);
    body_ += concat("; filename=\"", form_name(file.name),
                    "\"\r\nContent-Type: ", audio_content_type(file.name), "\r\n\r\n");
    body_ += file.bytes;
    body_ += "\r\n";
  }
  std::string finish() && { return std::move(body_) + "--" + boundary_ + "--\r\n"; }

 private:
  void begin(std::string_view name) {
    body_ += concat("--", boundary_, "\r\nContent-Disposition: form-data; name=\"", form_name(name),
                    '"');
  }
  std::string boundary_, body_;
};

std::string boundary_for(const AudioOptions& options, const AudioFile& file) {
  for (int number = 0;; ++number) {
    std::string boundary = concat("sis-bench-", number, "-5d8a3f71c0");
    if (file.bytes.find(boundary) == std::string::npos &&
        options.prompt.find(boundary) == std::string::npos)
      return boundary;
  }
}

}  // namespace

Result<std::unique_ptr<AudioWorkload>> AudioWorkload::create(const AudioOptions& options) {
  SIS_CHECK(options.files != nullptr && !options.files->empty(), "no recordings");
  auto workload = std::make_unique<AudioWorkload>();
  workload->format_ = options.format;
  for (const AudioFile& file : *options.files) {
    const std::string boundary = boundary_for(options, file);
    Form form(boundary);
    form.field("model", options.model);
    form.field("response_format", audio_format_name(options.format));
    if (!options.language.empty()) form.field("language", options.language);
    if (!options.prompt.empty()) form.field("prompt", options.prompt);
    if (!options.temperature.empty()) form.field("temperature", options.temperature);
    for (const auto& word : options.granularities) form.field("timestamp_granularities[]", word);
    form.file("file", file);

    net::FetchRequest request{.method = "POST"};
    request.target = net::join_target(options.url, options.path);
    request.headers = {{"Content-Type", concat("multipart/form-data; boundary=", boundary)},
                       {"Accept", "*/*"},
                       {"User-Agent", "sis-bench"}};
    if (!options.api_key.empty())
      request.headers.emplace_back("Authorization", concat("Bearer ", options.api_key));
    if (!options.keep_alive) request.headers.emplace_back("Connection", "close");
    request.body = std::move(form).finish();
    SIS_ASSIGN(std::string bytes, net::request_bytes(options.url, request));
    workload->pool_.push_back(std::move(bytes));
    workload->seconds_.push_back(file.seconds.value_or(-1));
  }
  return workload;
}

std::unique_ptr<Judge> AudioWorkload::make_judge() const {
  return make_audio_judge(format_, seconds_);
}

}  // namespace sis::perf
