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

#include "yolox.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <stdexcept>
#include <string>

namespace ros2_classify_benchmark_cpp
{
namespace
{

/// Intersection over union.
double overlap(const Detection & a, const Detection & b)
{
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0.0 || height <= 0.0) {
    return 0.0;
  }
  const auto area = [](const Detection & box) {
      return static_cast<double>(box.x2 - box.x1) * (box.y2 - box.y1);
    };
  const double shared = width * height;
  return shared / (area(a) + area(b) - shared);
}

float to_image(float coordinate, double scale, int size)
{
  return static_cast<float>(std::clamp(coordinate * scale, 0.0, static_cast<double>(size)));
}

}  // namespace

Yolox::Yolox(const YoloxSettings & settings, cv::Size model)
: settings_(settings), model_(model)
{
  for (const int stride : settings.strides) {
    for (int y = 0; y < model.height / stride; ++y) {
      for (int x = 0; x < model.width / stride; ++x) {
        cells_.push_back(
          {static_cast<float>(x), static_cast<float>(y), static_cast<float>(stride)});
      }
    }
  }
}

Placement Yolox::letterbox(const cv::Mat & image, bool image_is_rgb, float * planes)
{
  const double ratio = std::min(
    static_cast<double>(model_.width) / image.cols,
    static_cast<double>(model_.height) / image.rows);
  // A little more than the product, which may be 415.99999999999994.
  const cv::Size size(
    std::clamp(static_cast<int>(image.cols * ratio + 1e-6), 1, model_.width),
    std::clamp(static_cast<int>(image.rows * ratio + 1e-6), 1, model_.height));

  cv::Mat source = image;
  if (settings_.pyramid) {
    std::size_t halvings = 0;
    while (image.cols >> (halvings + 1) >= size.width &&
      image.rows >> (halvings + 1) >= size.height)
    {
      ++halvings;
    }
    // Pixels that cannot be halved evenly are dropped.
    source = image(
      cv::Rect(0, 0, image.cols >> halvings << halvings, image.rows >> halvings << halvings));
    halves_.resize(halvings);
  }
  const Placement placement{
    static_cast<double>(source.cols) / size.width, static_cast<double>(source.rows) / size.height,
    image.size()};
  for (cv::Mat & half : halves_) {
    cv::resize(source, half, {source.cols / 2, source.rows / 2}, 0, 0, cv::INTER_AREA);
    source = half;
  }
  if (source.size() != size) {
    cv::resize(source, resized_, size, 0, 0, cv::INTER_LINEAR);
    source = resized_;
  }

  cv::split(source, planes_);
  const bool pad = padded_for_ != size;
  padded_for_ = size;
  for (int channel = 0; channel < 3; ++channel) {
    cv::Mat plane(model_, CV_32F, planes + channel * model_.area());
    if (pad) {
      plane.setTo(settings_.pad_value);
    }
    cv::Mat window = plane(cv::Rect({0, 0}, size));
    planes_[image_is_rgb == settings_.rgb ? channel : 2 - channel].convertTo(window, CV_32F);
  }
  return placement;
}

std::vector<Detection> Yolox::detections(const Rows & rows, const Placement & placement) const
{
  std::vector<Detection> found = without_overlaps(candidates(rows));
  for (Detection & box : found) {
    box.x1 = to_image(box.x1, placement.scale_x, placement.image.width);
    box.x2 = to_image(box.x2, placement.scale_x, placement.image.width);
    box.y1 = to_image(box.y1, placement.scale_y, placement.image.height);
    box.y2 = to_image(box.y2, placement.scale_y, placement.image.height);
  }
  const auto is_empty = [](const Detection & box) {return box.x2 <= box.x1 || box.y2 <= box.y1;};
  found.erase(std::remove_if(found.begin(), found.end(), is_empty), found.end());
  found.resize(std::min(found.size(), settings_.max_detections));
  return found;
}

std::vector<Detection> Yolox::candidates(const Rows & rows) const
{
  if (rows.count != cells_.size()) {
    throw std::runtime_error(
            "the model's output has " + std::to_string(rows.count) +
            " rows, but its grids have " + std::to_string(cells_.size()) + " cells");
  }
  std::vector<Detection> found;
  for (std::size_t index = 0; index < rows.count; ++index) {
    // x, y, width, height, objectness, scores of the classes
    const float * row = rows.data + index * rows.columns;
    // No class score is above 1: most rows end here.
    if (row[4] < settings_.score_threshold) {
      continue;
    }
    const float * best = std::max_element(row + 5, row + rows.columns);
    const float score = row[4] * *best;
    if (score < settings_.score_threshold) {
      continue;
    }
    const Cell & cell = cells_[index];
    const float x = (row[0] + cell.x) * cell.stride;
    const float y = (row[1] + cell.y) * cell.stride;
    const float half_width = std::exp(row[2]) * cell.stride * 0.5F;
    const float half_height = std::exp(row[3]) * cell.stride * 0.5F;
    found.push_back(
      {x - half_width, y - half_height, x + half_width, y + half_height, score,
        static_cast<int>(best - (row + 5))});
  }
  return found;
}

std::vector<Detection> Yolox::without_overlaps(std::vector<Detection> found) const
{
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
  return kept;
}

}  // namespace ros2_classify_benchmark_cpp
