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

#include <malloc.h>

#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <opencv2/core.hpp>
#include <rclcpp/rclcpp.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <vision_msgs/msg/detection2_d_array.hpp>

#include "onnx_session.hpp"
#include "yolox.hpp"

namespace ros2_classify_benchmark_cpp
{

using sensor_msgs::msg::Image;
using vision_msgs::msg::Detection2DArray;

/// A YOLOX detector as C++ nodes do it: images arrive in the executor's thread, a thread of its
/// own takes the newest one. Subscribes to `image` and publishes `result`.
class PlainCpp : public rclcpp::Node
{
public:
  PlainCpp()
  : Node("plain_cpp"),
    labels_(declare_parameter("labels", std::vector<std::string>{})),
    settings_(declare_settings()),
    session_(
      declare_parameter("onnxruntime", "libonnxruntime.so"), declare_parameter("model_file", ""),
      declare_parameter("output", ""), settings_.size.width, settings_.size.height,
      static_cast<int>(declare_parameter("threads", 1))),
    yolox_(settings_)
  {
    session_.run();  // the first run allocates
    publisher_ = create_publisher<Detection2DArray>("result", 10);
    const auto reliability = declare_parameter("reliable", false) ?
      rclcpp::ReliabilityPolicy::Reliable : rclcpp::ReliabilityPolicy::BestEffort;
    subscription_ = create_subscription<Image>(
      "image", rclcpp::QoS(1).reliability(reliability),
      [this](Image::ConstSharedPtr image) {put(std::move(image));});
    worker_ = std::thread([this] {work();});
    RCLCPP_INFO(get_logger(), "active: %s", get_parameter("model_file").as_string().c_str());
  }

  ~PlainCpp() override
  {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      over_ = true;
    }
    arrived_.notify_one();
    worker_.join();
  }

private:
  YoloxSettings declare_settings()
  {
    YoloxSettings settings;
    settings.size.width = static_cast<int>(declare_parameter("width", 416));
    settings.size.height = static_cast<int>(declare_parameter("height", 416));
    settings.rgb = declare_parameter("rgb", false);
    settings.pyramid = declare_parameter("pyramid", false);
    settings.pad_value = declare_parameter("pad_value", 114.0);
    for (const auto stride : declare_parameter("strides", std::vector<std::int64_t>{8, 16, 32})) {
      settings.strides.push_back(static_cast<int>(stride));
    }
    settings.score_threshold = static_cast<float>(declare_parameter("score_threshold", 0.3));
    settings.nms_iou = static_cast<float>(declare_parameter("nms_iou", 0.45));
    settings.max_detections =
      static_cast<std::size_t>(declare_parameter("max_detections", 100));
    return settings;
  }

  /// Replace the image that waits: a newer one is worth more.
  void put(Image::ConstSharedPtr image)
  {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      newest_ = std::move(image);
    }
    arrived_.notify_one();
  }

  /// Wait for an image; nullptr at the end.
  Image::ConstSharedPtr take()
  {
    std::unique_lock<std::mutex> lock(mutex_);
    arrived_.wait(lock, [this] {return newest_ != nullptr || over_;});
    return over_ ? nullptr : std::exchange(newest_, nullptr);
  }

  void work()
  {
    while (const auto image = take()) {
      try {
        publisher_->publish(detect(*image));
      } catch (const std::exception & error) {
        RCLCPP_ERROR_THROTTLE(get_logger(), *get_clock(), 5000, "%s", error.what());
      }
    }
  }

  Detection2DArray::UniquePtr detect(const Image & image)
  {
    if ((image.encoding != "bgr8" && image.encoding != "rgb8") ||
      image.data.size() < std::size_t{image.step} * image.height ||
      image.step < std::size_t{image.width} * 3 || image.width == 0 || image.height == 0)
    {
      throw std::runtime_error("not an image of bgr8 or rgb8: " + image.encoding);
    }
    // OpenCV has no view of constant memory; nothing is written to it.
    const cv::Mat pixels(
      static_cast<int>(image.height), static_cast<int>(image.width), CV_8UC3,
      const_cast<std::uint8_t *>(image.data.data()), image.step);
    const bool is_rgb = image.encoding == "rgb8";
    const Placement placement = yolox_.letterbox(pixels, is_rgb, session_.input());
    return to_message(yolox_.detections(session_.run(), placement), image.header);
  }

  Detection2DArray::UniquePtr to_message(
    const std::vector<Detection> & found, const std_msgs::msg::Header & header) const
  {
    auto message = std::make_unique<Detection2DArray>();
    message->header = header;
    message->detections.resize(found.size());
    auto row = message->detections.begin();
    for (const Detection & box : found) {
      row->header = header;
      row->bbox.center.position.x = (static_cast<double>(box.x1) + box.x2) / 2;
      row->bbox.center.position.y = (static_cast<double>(box.y1) + box.y2) / 2;
      row->bbox.size_x = static_cast<double>(box.x2) - box.x1;
      row->bbox.size_y = static_cast<double>(box.y2) - box.y1;
      row->results.resize(1);
      auto & hypothesis = row->results.front().hypothesis;
      const auto class_id = static_cast<std::size_t>(box.class_id);
      hypothesis.class_id =
        class_id < labels_.size() ? labels_[class_id] : std::to_string(box.class_id);
      hypothesis.score = box.score;
      ++row;
    }
    return message;
  }

  const std::vector<std::string> labels_;
  const YoloxSettings settings_;
  OnnxSession session_;
  Yolox yolox_;
  rclcpp::Publisher<Detection2DArray>::SharedPtr publisher_;
  rclcpp::Subscription<Image>::SharedPtr subscription_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  Image::ConstSharedPtr newest_;
  bool over_ = false;
  std::thread worker_;
};

}  // namespace ros2_classify_benchmark_cpp

int main(int argc, char ** argv)
{
  // As in the server: the memory of large images stays in the process, and OpenCV's own threads
  // would take processor time from the model's.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  cv::setNumThreads(1);
  rclcpp::init(argc, argv);
  try {
    rclcpp::spin(std::make_shared<ros2_classify_benchmark_cpp::PlainCpp>());
  } catch (const std::exception & error) {
    RCLCPP_FATAL(rclcpp::get_logger("plain_cpp"), "%s", error.what());
    return EXIT_FAILURE;
  }
  rclcpp::shutdown();
  return EXIT_SUCCESS;
}
