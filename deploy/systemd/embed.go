// Package systemd holds the units that run Portcullis on a node, for the command line to install.
package systemd

import "embed"

// Units are the files as they are in this folder.
//
//go:embed *.service *.socket kubelet.service.d/*.conf
var Units embed.FS
