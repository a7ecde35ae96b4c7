// Copyright 2026 the ros2_classify authors
//
// Licensed under the Apache License, Version 2.0 (the "License");
// you may not use this file except in compliance with the License.
// You may obtain a copy of the License at
//
//     http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software
// distributed under the License is distributed on an "AS IS" BASIS,
// WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
// See the License for the specific language governing permissions and
// limitations under the License.

#ifndef ONNX_SESSION_HPP_
#define ONNX_SESSION_HPP_

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ros2_classify_benchmark_cpp
{

/// What a model gives for one image: rows of numbers, valid until the next run.
struct Rows
{
  const float * data;
  std::size_t count;
  std::size_t columns;
};

/// A model on the CPU in ONNX Runtime's C API: one input [1, 3, height, width], float32.
class OnnxSession
{
public:
  /// Load the library of ONNX Runtime and the model; throw std::runtime_error if that fails.
  /// `output` is the name of the output to read; empty for the first one.
  OnnxSession(
    const std::string & library, const std::string & model_file, const std::string & output,
    int threads);

  int width() const {return static_cast<int>(shape_.at(3));}
  int height() const {return static_cast<int>(shape_.at(2));}

  /// The memory that the model reads: red, green and blue planes, or blue, green and red.
  float * input() {return input_.data();}

  /// Run the model on what is in `input`.
  Rows run();

private:
  template<typename T>
  using Handle = std::unique_ptr<T, void (*)(T *)>;

  void check(OrtStatus * status) const;
  void create_session(const std::string & model_file, int threads);
  void create_input();
  std::vector<std::int64_t> shape_of(const OrtValue * value) const;
  std::string name_of(
    OrtStatus * (*get)(const OrtSession *, std::size_t, OrtAllocator *, char **)) const;

  const OrtApi * api_;
  Handle<OrtEnv> env_;
  Handle<OrtSession> session_;
  Handle<OrtValue> input_value_;
  Handle<OrtValue> output_value_;
  std::string input_name_;
  std::string output_name_;
  std::vector<std::int64_t> shape_;
  std::vector<float> input_;
};

}  // namespace ros2_classify_benchmark_cpp

#endif  // ONNX_SESSION_HPP_
