// What a right transcription is, by the format that was asked for.
//
//   json          an object with a string `text`
//   text          UTF-8
//   verbose_json  `text` and a list `segments` whose times do not run backwards
//   srt           blocks numbered from 1, each with a time line and a text
//   vtt           WEBVTT, then cues with a time line each
//
// Silence may well be an empty text without segments or cues.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "perf/load/workload.h"

namespace sis::perf {

enum class AudioFormat : uint8_t { kJson, kText, kVerboseJson, kSrt, kVtt };
const char* audio_format_name(AudioFormat format);
std::optional<AudioFormat> find_audio_format(std::string_view name);

// What is wrong with subtitles; empty: nothing.
std::string check_srt(std::string_view text);
std::string check_vtt(std::string_view text);

// `seconds` of recording index % size: below 0 where unknown; the answer's `duration` is taken
// then. Outlives the judge.
std::unique_ptr<Judge> make_audio_judge(AudioFormat format, const std::vector<double>& seconds);

}  // namespace sis::perf
