package proxy

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (g *Guard) createContainer(ctx context.Context, raw []byte) (func([]byte), error) {
	request, err := decodeCreateContainer(raw)
	if err != nil {
		return nil, unreadable("CreateContainer", err)
	}
	created, err := g.gate.CreateContainer(ctx, request)
	if created == nil || err != nil {
		return nil, err
	}
	return func(raw []byte) {
		var response cri.CreateContainerResponse
		if err := proto.Unmarshal(raw, &response); err != nil {
			g.log.WithError(err).Warn("cannot decode the runtime's CreateContainer response; StartContainer will ask the runtime for the facts")
			return
		}
		created(response.GetContainerId())
	}, nil
}

// Field numbers from the CRI definition.
const (
	createContainerConfig = 2 // CreateContainerRequest.config

	configCommand    = 3 // ContainerConfig.command
	configArgs       = 4
	configWorkingDir = 5
	configEnvs       = 6
)

// decodeCreateContainer decodes all of the request but command, arguments, working directory and
// environment. Nobody judges those, and before Kubernetes 1.34 they may legally hold bytes that are
// not UTF-8 (a Secret's value, also expanded into arguments), which a strict decoder would refuse.
func decodeCreateContainer(raw []byte) (*cri.CreateContainerRequest, error) {
	judged, err := filterFields(raw, func(field protowire.Number, value []byte) ([]byte, error) {
		if field != createContainerConfig {
			return value, nil
		}
		return filterFields(value, func(field protowire.Number, value []byte) ([]byte, error) {
			switch field {
			case configCommand, configArgs, configWorkingDir, configEnvs:
				return nil, nil
			}
			return value, nil
		})
	})
	if err != nil {
		return nil, err
	}
	request := &cri.CreateContainerRequest{}
	if err := proto.Unmarshal(judged, request); err != nil {
		return nil, err
	}
	return request, nil
}

// filterFields copies a message, passing the value of every length-delimited field through edit; a
// field whose edited value is nil is left out.
func filterFields(message []byte, edit func(protowire.Number, []byte) ([]byte, error)) ([]byte, error) {
	kept := make([]byte, 0, len(message))
	for len(message) > 0 {
		field, kind, tagSize := protowire.ConsumeTag(message)
		if tagSize < 0 {
			return nil, fmt.Errorf("malformed protobuf: %w", protowire.ParseError(tagSize))
		}
		size := protowire.ConsumeFieldValue(field, kind, message[tagSize:])
		if size < 0 {
			return nil, fmt.Errorf("malformed protobuf in field %d: %w", field, protowire.ParseError(size))
		}
		whole := message[:tagSize+size]
		message = message[tagSize+size:]
		if kind != protowire.BytesType {
			kept = append(kept, whole...)
			continue
		}
		value, _ := protowire.ConsumeBytes(whole[tagSize:])
		edited, err := edit(field, value)
		if err != nil {
			return nil, err
		}
		if edited != nil {
			kept = protowire.AppendTag(kept, field, protowire.BytesType)
			kept = protowire.AppendBytes(kept, edited)
		}
	}
	return kept, nil
}
