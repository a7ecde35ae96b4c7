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

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "onnx_session.hpp"

namespace ros2_classify_benchmark_cpp
{

/// A box in pixels of the model, then of the image.
struct Detection
{
  float x1, y1, x2, y2, score;
  int class_id;
};

/// What a descriptor says of a YOLOX detector.
struct YoloxSettings
{
  cv::Size size;  ///< of the model's input
  bool rgb;  ///< its planes are red, green and blue; otherwise blue, green and red
  bool pyramid;  ///< the image is halved as often as possible first
  double pad_value;  ///< of the pixels beside the image
  std::vector<int> strides;  ///< of the grids, in the order of the output's rows
  float score_threshold, nms_iou;
  std::size_t max_detections;
};

/// Pixels of the image for each pixel of the model, and the image's size.
struct Placement
{
  double scale_x, scale_y;
  cv::Size image;
};

/// Intersection over union.
inline double overlap(const Detection & a, const Detection & b)
{
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const double shared = std::max(width, 0.0) * std::max(height, 0.0);
  const auto area = [](const Detection & box) {
      return static_cast<double>(box.x2 - box.x1) * (box.y2 - box.y1);
    };
  return shared > 0.0 ? shared / (area(a) + area(b) - shared) : 0.0;
}

/// Pre-processing and decoding; images of one size need no new memory.
class Yolox
{
public:
  explicit Yolox(const YoloxSettings & settings)
  : settings_(settings)
  {
    for (const int stride : settings.strides) {
      for (int y = 0; y < settings.size.height / stride; ++y) {
        for (int x = 0; x < settings.size.width / stride; ++x) {
          cells_.push_back({static_cast<float>(x), static_cast<float>(y),
              static_cast<float>(stride)});
        }
      }
    }
  }

  /// Write an image of 8-bit colours into the model's planes, at the top left.
  Placement letterbox(const cv::Mat & image, bool image_is_rgb, float * planes)
  {
    const cv::Size model = settings_.size;
    const double ratio = std::min(
      static_cast<double>(model.width) / image.cols,
      static_cast<double>(model.height) / image.rows);
    // A little is added because a product may be 415.99999999999994.
    const cv::Size size(
      std::clamp(static_cast<int>(image.cols * ratio + 1e-6), 1, model.width),
      std::clamp(static_cast<int>(image.rows * ratio + 1e-6), 1, model.height));
    int halvings = 0;
    while (settings_.pyramid && image.cols >> (halvings + 1) >= size.width &&
      image.rows >> (halvings + 1) >= size.height)
    {
      ++halvings;
    }
    // Pixels that do not halve evenly are dropped.
    cv::Mat source = image(
      {0, 0, image.cols >> halvings << halvings, image.rows >> halvings << halvings});
    const Placement placement{static_cast<double>(source.cols) / size.width,
      static_cast<double>(source.rows) / size.height, image.size()};
    halves_.resize(halvings);
    for (cv::Mat & half : halves_) {
      cv::resize(source, half, {source.cols / 2, source.rows / 2}, 0, 0, cv::INTER_AREA);
      source = half;
    }
    if (source.size() != size) {
      cv::resize(source, resized_, size, 0, 0, cv::INTER_LINEAR);
      source = resized_;
    }
    cv::split(source, channels_);
    for (int channel = 0; channel < 3; ++channel) {
      cv::Mat plane(model, CV_32F, planes + channel * model.area());
      if (size != last_size_) {
        plane.setTo(settings_.pad_value);
      }
      cv::Mat window = plane({0, 0, size.width, size.height});
      const int from = image_is_rgb == settings_.rgb ? channel : 2 - channel;
      channels_[from].convertTo(window, CV_32F);
    }
    last_size_ = size;
    return placement;
  }

  /// Return the boxes over the threshold, best first, without those that overlap a better one.
  std::vector<Detection> detections(const Rows & rows, const Placement & placement) const
  {
    std::vector<Detection> found = candidates(rows);
    std::stable_sort(
      found.begin(), found.end(),
      [](const Detection & a, const Detection & b) {return a.score > b.score;});
    std::vector<Detection> kept;
    for (const Detection & box : found) {
      const auto covers = [&](const Detection & better) {
          return better.class_id == box.class_id && overlap(better, box) > settings_.nms_iou;
        };
      if (std::none_of(kept.begin(), kept.end(), covers)) {
        kept.push_back(box);
      }
    }
    for (Detection & box : kept) {
      box.x1 = on_image(box.x1 * placement.scale_x, placement.image.width);
      box.x2 = on_image(box.x2 * placement.scale_x, placement.image.width);
      box.y1 = on_image(box.y1 * placement.scale_y, placement.image.height);
      box.y2 = on_image(box.y2 * placement.scale_y, placement.image.height);
    }
    const auto is_empty = [](const Detection & box) {return box.x2 <= box.x1 || box.y2 <= box.y1;};
    kept.erase(std::remove_if(kept.begin(), kept.end(), is_empty), kept.end());
    kept.resize(std::min(kept.size(), settings_.max_detections));
    return kept;
  }

private:
  struct Cell
  {
    float x, y, stride;
  };

  static float on_image(double coordinate, int size)
  {
    return static_cast<float>(std::clamp(coordinate, 0.0, static_cast<double>(size)));
  }

  std::vector<Detection> candidates(const Rows & rows) const
  {
    if (rows.count != cells_.size() || rows.columns < 6) {
      throw std::runtime_error(
              "the model's output is not [1, " + std::to_string(cells_.size()) +
              ", 5 + classes]");
    }
    std::vector<Detection> found;
    for (std::size_t index = 0; index < rows.count; ++index) {
      // x, y, width, height, objectness, scores of the classes
      const float * row = rows.data + index * rows.columns;
      const float * end = row + rows.columns;
      // No class score is above 1: nearly all rows end here.
      if (row[4] < settings_.score_threshold) {
        continue;
      }
      const float * best = std::max_element(row + 5, end);
      const float score = row[4] * *best;
      if (score < settings_.score_threshold) {
        continue;
      }
      const Cell & cell = cells_[index];
      const float x = (row[0] + cell.x) * cell.stride;
      const float y = (row[1] + cell.y) * cell.stride;
      const float width = std::exp(row[2]) * cell.stride;
      const float height = std::exp(row[3]) * cell.stride;
      found.push_back(
        {x - width / 2, y - height / 2, x + width / 2, y + height / 2, score,
          static_cast<int>(best - (row + 5))});
    }
    return found;
  }

  const YoloxSettings settings_;
  std::vector<Cell> cells_;
  cv::Size last_size_;
  std::vector<cv::Mat> halves_, channels_;
  cv::Mat resized_;
};

}  // namespace ros2_classify_benchmark_cpp

#endif  // YOLOX_HPP_
