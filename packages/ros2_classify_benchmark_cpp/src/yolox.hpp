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

#ifndef YOLOX_HPP_
#define YOLOX_HPP_

#include <cstddef>
#include <opencv2/core.hpp>
#include <vector>

#include "onnx_session.hpp"

namespace ros2_classify_benchmark_cpp
{

/// A box in pixels of the image.
struct Detection
{
  float x1, y1, x2, y2;
  float score;
  int class_id;
};

/// What a descriptor says of a YOLOX detector.
struct YoloxSettings
{
  bool rgb;  ///< the model's planes are red, green, blue; otherwise blue, green, red
  bool pyramid;  ///< halve the image as often as possible before the last step
  double pad_value;  ///< of the pixels beside the image
  std::vector<int> strides;  ///< of the model's grids, in the order of its rows
  float score_threshold;
  float nms_iou;
  std::size_t max_detections;
};

/// Pixels of the image for each pixel of the model, and the size of the image.
struct Placement
{
  double scale_x, scale_y;
  cv::Size image;
};

/// Pre-processing and decoding of a YOLOX detector, without allocating for images of one size.
class Yolox
{
public:
  Yolox(const YoloxSettings & settings, cv::Size model);

  /// Write an image of 8-bit colours into the three planes of the model, at the top left.
  Placement letterbox(const cv::Mat & image, bool image_is_rgb, float * planes);

  /// Return the boxes over the threshold, best first, without those that overlap a better one.
  std::vector<Detection> detections(const Rows & rows, const Placement & placement) const;

private:
  struct Cell
  {
    float x, y, stride;
  };

  std::vector<Detection> candidates(const Rows & rows) const;
  std::vector<Detection> without_overlaps(std::vector<Detection> found) const;

  YoloxSettings settings_;
  cv::Size model_;
  std::vector<Cell> cells_;
  cv::Size padded_for_;
  std::vector<cv::Mat> halves_;
  cv::Mat resized_;
  std::vector<cv::Mat> planes_;
};

}  // namespace ros2_classify_benchmark_cpp

#endif  // YOLOX_HPP_
