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

#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ros2_classify_benchmark_cpp
{

/// Load ONNX Runtime at run time: a Python package has the library under a name that no linker
/// looks for, and so the node runs the very library of the Python node beside it.
inline const OrtApi * load_api(const std::string & library)
{
  void * handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    throw std::runtime_error(std::string("ONNX Runtime cannot be loaded: ") + dlerror());
  }
  using GetApiBase = const OrtApiBase * (*)();
  const auto get_api_base = reinterpret_cast<GetApiBase>(dlsym(handle, "OrtGetApiBase"));
  const OrtApi * api = get_api_base ? get_api_base()->GetApi(ORT_API_VERSION) : nullptr;
  if (api == nullptr) {
    throw std::runtime_error(
            library + " lacks version " + std::to_string(ORT_API_VERSION) +
            " of the C API: install a newer ONNX Runtime");
  }
  return api;
}

/// What a model gives for one image: rows of numbers, valid until the next run.
struct Rows
{
  const float * data;
  std::size_t count, columns;
};

/// A model on the CPU with one input [1, 3, height, width] and the output [1, rows, columns] of
/// float32.
class OnnxSession
{
public:
  /// An empty name of the output is that of the first one.
  OnnxSession(
    const std::string & library, const std::string & model_file, const std::string & output,
    int width, int height, int threads)
  : api_(load_api(library)), output_name_(output), input_(std::size_t{3} * width * height)
  {
    create_session(model_file, threads);
    input_name_ = name_of(api_->SessionGetInputName);
    if (output.empty()) {
      output_name_ = name_of(api_->SessionGetOutputName);
    }
    OrtMemoryInfo * created = nullptr;
    check(api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &created));
    const Handle<OrtMemoryInfo> memory(created, api_->ReleaseMemoryInfo);
    const std::array<std::int64_t, 4> shape{1, 3, height, width};
    OrtValue * value = nullptr;
    check(
      api_->CreateTensorWithDataAsOrtValue(
        created, input_.data(), input_.size() * sizeof(float), shape.data(), shape.size(),
        ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
    input_value_ = {value, api_->ReleaseValue};
  }

  /// The three planes that the model reads.
  float * input() {return input_.data();}

  /// Run the model on what `input` holds.
  Rows run()
  {
    const char * input_name = input_name_.c_str();
    const char * output_name = output_name_.c_str();
    const OrtValue * input = input_value_.get();
    // The first run allocates the output, and the later ones write into the same memory.
    OrtValue * output = output_value_.get();
    check(
      api_->Run(session_.get(), nullptr, &input_name, &input, 1, &output_name, 1, &output));
    if (!output_value_) {
      output_value_ = {output, api_->ReleaseValue};
      shape_ = shape_of(output);
    }
    void * data = nullptr;
    check(api_->GetTensorMutableData(output, &data));
    return {static_cast<const float *>(data), static_cast<std::size_t>(shape_[1]),
      static_cast<std::size_t>(shape_[2])};
  }

private:
  template<typename T>
  using Handle = std::unique_ptr<T, void (*)(T *)>;

  template<typename T>
  static Handle<T> nothing() {return {nullptr, [](T *) {}};}

  void create_session(const std::string & model_file, int threads)
  {
    OrtEnv * env = nullptr;
    check(api_->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "plain_cpp", &env));
    env_ = {env, api_->ReleaseEnv};
    OrtSessionOptions * options = nullptr;
    check(api_->CreateSessionOptions(&options));
    const Handle<OrtSessionOptions> owner(options, api_->ReleaseSessionOptions);
    check(api_->SetIntraOpNumThreads(options, threads));
    check(api_->SetInterOpNumThreads(options, 1));
    check(api_->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL));
    check(api_->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
    OrtSession * session = nullptr;
    check(api_->CreateSession(env, model_file.c_str(), options, &session));
    session_ = {session, api_->ReleaseSession};
  }

  std::string name_of(
    OrtStatus * (*get)(const OrtSession *, std::size_t, OrtAllocator *, char **)) const
  {
    OrtAllocator * allocator = nullptr;  // the default one, which nobody releases
    check(api_->GetAllocatorWithDefaultOptions(&allocator));
    char * name = nullptr;
    check(get(session_.get(), 0, allocator, &name));
    const std::string copy = name;
    allocator->Free(allocator, name);
    return copy;
  }

  std::array<std::int64_t, 3> shape_of(const OrtValue * value) const
  {
    OrtTensorTypeAndShapeInfo * info = nullptr;
    check(api_->GetTensorTypeAndShape(value, &info));
    const Handle<OrtTensorTypeAndShapeInfo> owner(info, api_->ReleaseTensorTypeAndShapeInfo);
    std::array<std::int64_t, 3> shape{};
    std::size_t dimensions = 0;
    check(api_->GetDimensionsCount(info, &dimensions));
    if (dimensions != shape.size()) {
      throw std::runtime_error("the model's output is not [1, rows, columns]");
    }
    check(api_->GetDimensions(info, shape.data(), dimensions));
    return shape;
  }

  void check(OrtStatus * status) const
  {
    if (status != nullptr) {
      const std::string message = api_->GetErrorMessage(status);
      api_->ReleaseStatus(status);
      throw std::runtime_error("ONNX Runtime: " + message);
    }
  }

  const OrtApi * api_;
  Handle<OrtEnv> env_ = nothing<OrtEnv>();
  Handle<OrtSession> session_ = nothing<OrtSession>();
  Handle<OrtValue> input_value_ = nothing<OrtValue>();
  Handle<OrtValue> output_value_ = nothing<OrtValue>();
  std::string input_name_, output_name_;
  std::array<std::int64_t, 3> shape_{};  // of the output
  std::vector<float> input_;
};

}  // namespace ros2_classify_benchmark_cpp

#endif  // ONNX_SESSION_HPP_
