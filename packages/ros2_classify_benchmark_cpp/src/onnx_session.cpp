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

#include "onnx_session.hpp"

#include <dlfcn.h>

#include <functional>
#include <numeric>
#include <stdexcept>

namespace ros2_classify_benchmark_cpp
{
namespace
{

/// Load the library at run time: a Python wheel has it under a name that no linker would look for,
/// and so the node runs the same build of ONNX Runtime as the Python node beside it.
const OrtApi * load_api(const std::string & library)
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
            library + " does not have version " + std::to_string(ORT_API_VERSION) +
            " of ONNX Runtime's C API; install a newer one");
  }
  return api;
}

}  // namespace

OnnxSession::OnnxSession(
  const std::string & library, const std::string & model_file, const std::string & output,
  int threads)
: api_(load_api(library)),
  env_(nullptr, api_->ReleaseEnv),
  session_(nullptr, api_->ReleaseSession),
  input_value_(nullptr, api_->ReleaseValue),
  output_value_(nullptr, api_->ReleaseValue)
{
  create_session(model_file, threads);
  input_name_ = name_of(api_->SessionGetInputName);
  output_name_ = output.empty() ? name_of(api_->SessionGetOutputName) : output;
  create_input();
}

void OnnxSession::create_session(const std::string & model_file, int threads)
{
  OrtEnv * env = nullptr;
  check(api_->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "plain_cpp", &env));
  env_.reset(env);

  OrtSessionOptions * created = nullptr;
  check(api_->CreateSessionOptions(&created));
  const Handle<OrtSessionOptions> options(created, api_->ReleaseSessionOptions);
  check(api_->SetIntraOpNumThreads(options.get(), threads));
  check(api_->SetInterOpNumThreads(options.get(), 1));
  check(api_->SetSessionGraphOptimizationLevel(options.get(), ORT_ENABLE_ALL));
  check(api_->AddSessionConfigEntry(options.get(), "session.intra_op.allow_spinning", "0"));

  OrtSession * session = nullptr;
  check(api_->CreateSession(env_.get(), model_file.c_str(), options.get(), &session));
  session_.reset(session);
}

void OnnxSession::create_input()
{
  OrtTypeInfo * info = nullptr;
  check(api_->SessionGetInputTypeInfo(session_.get(), 0, &info));
  const Handle<OrtTypeInfo> type_info(info, api_->ReleaseTypeInfo);
  const OrtTensorTypeAndShapeInfo * tensor_info = nullptr;  // belongs to `type_info`
  check(api_->CastTypeInfoToTensorInfo(info, &tensor_info));
  std::size_t dimensions = 0;
  check(api_->GetDimensionsCount(tensor_info, &dimensions));
  shape_.resize(dimensions);
  check(api_->GetDimensions(tensor_info, shape_.data(), dimensions));
  if (dimensions != 4 || shape_[1] != 3 || shape_[2] <= 0 || shape_[3] <= 0) {
    throw std::runtime_error("the model's input is not [1, 3, height, width]");
  }
  shape_[0] = 1;

  input_.resize(
    std::accumulate(shape_.begin(), shape_.end(), std::size_t{1}, std::multiplies<>()));
  OrtMemoryInfo * memory = nullptr;
  check(api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  const Handle<OrtMemoryInfo> memory_info(memory, api_->ReleaseMemoryInfo);
  OrtValue * value = nullptr;
  check(
    api_->CreateTensorWithDataAsOrtValue(
      memory, input_.data(), input_.size() * sizeof(float), shape_.data(), shape_.size(),
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  input_value_.reset(value);
}

Rows OnnxSession::run()
{
  const char * input_name = input_name_.c_str();
  const char * output_name = output_name_.c_str();
  const OrtValue * input = input_value_.get();
  // The first run allocates the output, those that follow write into the same memory.
  OrtValue * output = output_value_.get();
  check(
    api_->Run(
      session_.get(), nullptr, &input_name, &input, 1, &output_name, 1, &output));
  if (!output_value_) {
    output_value_.reset(output);
  }
  const std::vector<std::int64_t> shape = shape_of(output);
  if (shape.size() != 3 || shape[0] != 1 || shape[2] < 6) {
    throw std::runtime_error("the model's output is not [1, cells, 5 + classes]");
  }
  float * data = nullptr;
  check(api_->GetTensorMutableData(output, reinterpret_cast<void **>(&data)));
  return {data, static_cast<std::size_t>(shape[1]), static_cast<std::size_t>(shape[2])};
}

std::vector<std::int64_t> OnnxSession::shape_of(const OrtValue * value) const
{
  OrtTensorTypeAndShapeInfo * created = nullptr;
  check(api_->GetTensorTypeAndShape(value, &created));
  const Handle<OrtTensorTypeAndShapeInfo> info(created, api_->ReleaseTensorTypeAndShapeInfo);
  std::size_t dimensions = 0;
  check(api_->GetDimensionsCount(created, &dimensions));
  std::vector<std::int64_t> shape(dimensions);
  check(api_->GetDimensions(created, shape.data(), dimensions));
  return shape;
}

std::string OnnxSession::name_of(
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

void OnnxSession::check(OrtStatus * status) const
{
  if (status != nullptr) {
    const std::string message = api_->GetErrorMessage(status);
    api_->ReleaseStatus(status);
    throw std::runtime_error("ONNX Runtime: " + message);
  }
}

}  // namespace ros2_classify_benchmark_cpp
